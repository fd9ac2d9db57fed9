/* Whether executing gave other ids than those of whoever did. */
#include <unistd.h>

int main(void) {
        return getuid() != geteuid() || getgid() != getegid();
}
