// A proof that cannot fail proves nothing: each proof also disables the guarantee that it tests, and must detect that.
// PROOF_BREAKS selects the variants when a process starts: a comma-separated list of the names below. So one build, which
// the tests need anyway, serves all proofs. None of this is compiled into a release.
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
    [cs_acknowledge_before_confirmation] = "acknowledge-before-confirmation",
    [cs_answer_without_lease] = "answer-without-lease",
    [cs_unknown_without_barrier] = "unknown-without-barrier",
    [cs_survive_until_commit] = "survive-until-commit",
    [cs_know_no_level_ahead] = "know-no-level-ahead",
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
        // A misspelt name must not look like a guarantee whose loss went undetected.
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
