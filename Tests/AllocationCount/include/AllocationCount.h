#ifndef COUNTERSIGN_ALLOCATION_COUNT_H
#define COUNTERSIGN_ALLOCATION_COUNT_H

#include <stdint.h>

/// Calls of malloc and its like by the calling thread so far. A program that links this has its allocator's calls counted.
uint64_t allocation_count(void);

/// Whether allocations are counted in this build: not under a sanitizer, which brings an allocator of its own.
int allocation_count_works(void);

#endif
