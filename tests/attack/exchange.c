/*
 * exchange A B MILLISECONDS: gives two names each other's object, over and over, as somebody does outside who may write to a directory.
 */
#include "attack.h"

int main(int argc, char **argv) {
        if (argc != 4)
                return 2;
        uint64_t end = attack_now() + strtoul(argv[3], NULL, 10);
        while (attack_now() < end)
                (void) renameat2(AT_FDCWD, argv[1], AT_FDCWD, argv[2], RENAME_EXCHANGE);
        return 0;
}
