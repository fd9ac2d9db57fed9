/*
 * race NAME[:WAY] MILLISECONDS FOLDER [PORT BINDPORT [ENOUGH]]: one race (race.h). Prints "wins N tries M", without what the referee sees; stops
 * early after ENOUGH wins, the referee's among them.
 *
 * race swap NAME[:WAY] FOLDER: what the referee runs, outside: swaps, where the way says so, until it is killed.
 */
#include "race.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

const char *race_folder;
uint16_t race_port, race_bind_port;
_Atomic bool race_stop;
uint64_t race_reached;
bool race_counts_reached;
struct race_shared *race_shared;
int race_side = -1;

static const struct race *const tables[] = { race_open, race_names, race_meta, race_fds, race_net, race_exec };

static const struct race *find_race(const char *name, size_t length) {
        for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++)
                for (const struct race *race = tables[t]; race->name; race++)
                        if (strlen(race->name) == length && memcmp(race->name, name, length) == 0)
                                return race;
        return NULL;
}

static const struct way *find_way(const char *name) {
        for (const struct way *way = race_ways; way->name; way++)
                if (strcmp(way->name, name) == 0)
                        return way;
        return NULL;
}

static void (*swap)(int which);

/* Were both on one CPU, nothing would be swapped between the broker's look and the kernel's. */
static void stay_on(long cpu) {
        cpu_set_t cpus;

        CPU_ZERO(&cpus);
        CPU_SET(cpu, &cpus);
        sched_setaffinity(0, sizeof(cpus), &cpus);
}

static void *swapper(void *unused) {
        stay_on(sysconf(_SC_NPROCESSORS_ONLN) - 1);
        for (unsigned i = 1; !race_stop; i++) {
                swap(i & 1);
                /* The call must be seen to begin with the allowed one, and to go on with either, however the CPUs are shared. */
                if (i % 1024 == 0 || i % 4099 == 0)
                        sched_yield();
        }
        swap(0);
        return unused;
}

/* What the referee counts; nothing where there is none. */
static const volatile uint64_t *open_score(void) {
        static const uint64_t none;
        char path[PATH_MAX];

        race_path(path, "w/score");
        int fd = open(path, O_RDONLY);
        void *score = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(none), PROT_READ, MAP_SHARED, fd, 0);
        if (fd >= 0)
                close(fd);
        return score == MAP_FAILED ? &none : score;
}

static int swap_outside(const char *name) {
        const char *colon = strchr(name, ':');
        const struct way *way = find_way(colon ? colon + 1 : race_ways->name);
        const struct race *race = find_race(name, strcspn(name, ":"));

        if (!race || !way || !race->object || !way->outside)
                return 0;
        way->prepare(race->object);
        if (race->prepare_outside)
                race->prepare_outside();
        swap = way->swap;
        swapper(NULL);
        return 0;
}

int main(int argc, char **argv) {
        uint64_t wins = 0, tries = 0, enough = argc > 6 ? strtoull(argv[6], NULL, 10) : UINT64_MAX;
        bool outside = argc == 4 && strcmp(argv[1], "swap") == 0;
        pthread_t thread;

        if (argc < 4)
                return 2;
        race_folder = argv[3];
        race_shared = mmap(NULL, sizeof(*race_shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (race_shared == MAP_FAILED)
                attack_die("mmap");
        if (outside)
                return swap_outside(argv[2]);
        size_t length = strcspn(argv[1], ":");
        const struct race *race = find_race(argv[1], length);
        const struct way *way = argv[1][length] ? find_way(argv[1] + length + 1) : race_ways;
        if (!race || !way)
                return 2;
        race_port = argc > 4 ? atoi(argv[4]) : 0;
        race_bind_port = argc > 5 ? atoi(argv[5]) : 0;
        swap = race->swap;
        if (race->object) {
                way->prepare(race->object);
                swap = way->outside ? NULL : swap ?: way->swap;
        }
        if (race->prepare)
                race->prepare();
        const volatile uint64_t *score = open_score();

        if (swap && pthread_create(&thread, NULL, swapper, NULL) != 0)
                attack_die("pthread_create");
        stay_on(0);
        /* On a busy machine, a few tries at least. */
        uint64_t end = attack_now() + strtoull(argv[2], NULL, 10), last = end + 10000;
        for (; (attack_now() < end || ((race_counts_reached ? race_reached : tries) < 20 && attack_now() < last)) && wins + *score < enough;
             tries++)
                wins += race->attempt();
        race_stop = true;
        if (swap)
                pthread_join(thread, NULL);
        printf("wins %llu tries %llu\n", (unsigned long long) wins, (unsigned long long) (race_counts_reached ? race_reached : tries));
        return wins > 0;
}
