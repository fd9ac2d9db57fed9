/*
 * What sequences execute: writes what it was given to WITNESS_FD. Small, since every tree has its copies: no library, no loader.
 */
#include <sys/syscall.h>

#define WITNESS_FD 200
#define AT_EXECFN 31
#define AT_SECURE 23
#define AT_UID 11
#define AT_EUID 12
#define AT_GID 13
#define AT_EGID 14

static long call(long nr, long a, long b, long c) {
        long result;

        __asm__ volatile("syscall" : "=a"(result) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
        return result;
}

static char said[3500];
static unsigned long size;

static void say(const char *text) {
        while (*text && size < sizeof(said))
                said[size++] = *text++;
        if (size < sizeof(said))
                said[size++] = ' ';
}

static void say_number(unsigned long n) {
        char digits[24];
        unsigned i = sizeof(digits);

        digits[--i] = 0;
        do
                digits[--i] = (char) ('0' + n % 10);
        while ((n /= 10) > 0);
        say(digits + i);
}

/* Called with the stack as the kernel leaves it: argc, argv, NULL, environment, NULL, auxiliary vector. */
__attribute__((noreturn, used)) void witness(unsigned long *stack);
void witness(unsigned long *stack) {
        unsigned long argc = stack[0], *p = stack + 1 + argc + 1;
        char name[16] = {};

        for (unsigned long i = 0; i < argc; i++)
                say((const char *) stack[1 + i]);
        for (; *p; p++)
                say((const char *) *p);
        for (p++; *p; p += 2)
                if (*p == AT_EXECFN)
                        say((const char *) p[1]);
                else if (*p == AT_SECURE || *p == AT_UID || *p == AT_EUID || *p == AT_GID || *p == AT_EGID)
                        say_number(p[1]);
        call(SYS_prctl, 16 /* PR_GET_NAME */, (long) name, 0);
        say(name);
        for (int fd = 3; fd < 40; fd++)
                if (call(SYS_fcntl, fd, 1 /* F_GETFD */, 0) >= 0)
                        say_number(fd);
        call(SYS_write, WITNESS_FD, (long) said, (long) size);
        for (;;)
                call(SYS_exit_group, 0, 0, 0);
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall witness\n");
