#ifndef COUNTERSIGN_COUNTED_SECTION_H
#define COUNTERSIGN_COUNTED_SECTION_H

/// Calls `body` with `context`. callgrind finds this function by its name and counts what happens inside it.
void counted_section(void (*body)(void *), void *context);

#endif
