/*
 * Private to the network module: sockets of the caller and addresses that were decided on.
 */
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "files.h"

/* A socket of the caller: our own descriptor of it. */
struct endpoint {
        int fd; /* owned */
        int domain, type, protocol;
        bool blocking; /* O_NONBLOCK is not set */
};

/* Our copy of an address: what was decided on is what is used. */
struct address {
        union {
                struct sockaddr any;
                struct sockaddr_un un;
                struct sockaddr_storage storage;
        };
        socklen_t size; /* 0: none */
        struct pin pin; /* of the object that a Unix path names; pin.fd is -1 where there is none */
        bool linked;    /* un.sun_path is the link to the pin, to be used from its directory: see address_enter */
        int dirfd;      /* borrowed: that directory */
};

#define ENDPOINT_INIT \
        { .fd = -1 }
#define ADDRESS_INIT \
        { .pin = PIN_INIT, .dirfd = -1 }

void endpoint_done(struct endpoint *e);
void address_done(struct address *a);

/* -EBADF, -ENOTSOCK. */
int endpoint_get(struct call *call, int fd, struct endpoint *ret);
enum net_protocol endpoint_protocol(const struct endpoint *e);

/* Copies an address of the caller's. */
int address_read(struct call *call, uint64_t pointer, int size, struct address *ret);

/* Resolves the path of a Unix address as the caller would, into a->pin; what it leads to becomes the call's subject. */
int address_resolve(struct call *call, struct address *a, unsigned flags);

/* The same for the path of a socket that is to be made (resolve_name). */
int address_resolve_name(struct call *call, struct address *a);

/* Decides whether the socket may connect or send to an address, and resolves a Unix path. true: go on; false: `*ret_verdict` is the answer. */
bool address_decide(struct call *call, const struct endpoint *e, struct address *a, bool sending, struct verdict *ret_verdict);

/* Enters the directory from which the address is to be used, if any. Every thread has its own, and nothing else depends on it. */
int address_enter(const struct address *a);

/* A refusal by the network rules. */
struct verdict network_refuse(struct call *call, const struct net_match *match, const char *remedy);

struct verdict handle_bind(struct call *call);
struct verdict handle_listen(struct call *call);
struct verdict handle_sendto(struct call *call);
struct verdict handle_sendmsg(struct call *call);
struct verdict handle_sendmmsg(struct call *call);
