/*
 * A race: one thread makes a call again and again (an attempt); another one swaps what the call is about between an allowed thing and a
 * forbidden one, by a single store or a single system call. FOLDER/a is allowed, FOLDER/b is named by no rule, FOLDER/w may be written,
 * FOLDER/r read; what is swapped lies in `race_shared`.
 *
 * A win is a call that got at the forbidden thing. What the call gives (content, an inode, a peer) the attempt sees itself, and returns true;
 * what it changes the referee sees, who stands outside (referee.c), and the attempt returns false.
 */
#pragma once

#include "attack.h"

#include <limits.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

/* The way in which a path comes to mean something else. */
struct way {
        const char *name;
        /* Sets race_shared->path to one that ends with, or leads to, `object` in FOLDER/a (or its like), and race_side. */
        void (*prepare)(const char *object);
        void (*swap)(int which); /* 0: to the allowed one */
        bool outside;            /* the referee has it swapped outside of the sandbox */
};

struct race {
        const char *name;
        const char *object; /* what the path ends with; the way prepares it. NULL: a race that prepares and swaps by itself */
        bool (*attempt)(void);
        void (*prepare)(void); /* after the way's, if any */
        void (*swap)(int which);
        void (*prepare_outside)(void); /* the same where the referee swaps */
};

/* Tables, each ended by a row without a name. */
extern const struct way race_ways[]; /* the first is the one where none is named */
extern const struct race race_open[], race_names[], race_meta[], race_fds[], race_net[], race_exec[];

extern const char *race_folder;
extern uint16_t race_port, race_bind_port;
extern _Atomic bool race_stop;
/* Where an attempt is worth something only if it got somewhere: how many did, and that they alone are the tries. */
extern uint64_t race_reached;
extern bool race_counts_reached;

/* Shared with children, so that it goes on being swapped while they execute. */
struct race_shared {
        char path[PATH_MAX];  /* a page of its own */
        char other[PATH_MAX]; /* of calls with two paths */
        struct open_how how;
        struct sockaddr_in in;
        struct sockaddr_un un;
};
extern struct race_shared *race_shared;

/* A descriptor of the allowed directory itself, wherever it is at the moment: what an attempt has made there is undone by it. */
extern int race_side;

/* ---- race_way.c ---- */

void race_swap_byte(int which);
/* The byte that race_swap_byte swaps. */
void race_set_byte(volatile char *byte, char allowed, char forbidden);
/* A byte that changes along with whatever is swapped, so that a call which is made twice has another second path. */
void race_set_second_byte(volatile char *byte, char first, char second);
/* A name that is removed along with whatever is swapped, to the same end, where the swapping is done outside and can reach no byte. */
void race_set_second_name(const char *path);
void race_swap_second(int which);

/* FOLDER/format… into a buffer of PATH_MAX bytes. */
__attribute__((format(printf, 2, 3))) void race_path(char *buffer, const char *format, ...);
/* Makes a file of the allowed side, if it isn't there. */
void race_make(const char *name);
int race_socket(int domain, int type);
/* Whether the descriptor (closed) is of the canary. */
bool race_canary(int fd);
