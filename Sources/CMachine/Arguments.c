// The arguments of this process. Swift's own list of them is read from /proc, and is empty where that is not mounted, as in the root
// in which a package's script runs: a command would then do nothing and report success. glibc passes them to constructors.

#include "CMachine.h"

static int count;
static char **texts;

__attribute__((constructor)) static void keep_arguments(int argc, char **argv) {
    count = argc;
    texts = argv;
}

const char *cs_argument(int index) { return index >= 0 && index < count ? texts[index] : 0; }
