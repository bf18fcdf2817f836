// A proof that cannot fail proves nothing: each takes the guarantee away that it is about, and must notice. The variants are
// chosen when a process starts, by PROOF_BREAKS, a comma-separated list of the names below; so one build serves all proofs,
// and it is the one that the tests need anyway. None of this is compiled into a release.
#ifdef COUNTERSIGN_PROOF

#include "CMachine.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const names[] = {
    [cs_commit_before_acknowledgement] = "commit-before-acknowledgement",
    [cs_floors_before_acknowledgement] = "floors-before-acknowledgement",
    [cs_floor_check_on_hits] = "floor-check-on-hits",
    [cs_remembered_floor_last] = "remembered-floor-last",
    [cs_learn_before_following] = "learn-before-following",
};
enum { guarantee_count = sizeof names / sizeof names[0] };

// Written before `main` and never again.
static int broken[guarantee_count];

__attribute__((constructor)) static void read_switches(void) {
    const char *rest = getenv("PROOF_BREAKS");
    while (rest && *rest) {
        size_t length = strcspn(rest, ",");
        int found = 0;
        for (int index = 0; index < guarantee_count; index++) {
            if (strlen(names[index]) == length && memcmp(names[index], rest, length) == 0) { broken[index] = found = 1; }
        }
        // A misspelt name must not pass for a guarantee whose loss nobody noticed.
        if (!found) {
            fprintf(stderr, "PROOF_BREAKS names no guarantee: '%s'\n", rest);
            _exit(64);
        }
        fprintf(stderr, "Broken on purpose: %.*s\n", (int)length, rest);
        rest += length + (rest[length] == ',');
    }
}

int cs_is_broken(enum cs_guarantee guarantee) { return broken[guarantee]; }

#endif
