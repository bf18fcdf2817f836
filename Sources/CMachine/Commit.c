// The commit that a release was built from. The compiler cannot know it without building everything anew for each commit, so
// deploy/packages/stamp.py writes it into the program when it is packed: over these 40 zeros.

#include "CMachine.h"

__attribute__((used)) static const char commit[] = "commit:0000000000000000000000000000000000000000";

const char *cs_commit(void) { return commit + 7; }
