#include "CountedSection.h"

__attribute__((noinline)) void counted_section(void (*body)(void *), void *context) {
    body(context);
    // Keeps the call above from becoming a jump: callgrind has to see it return to here.
    __asm__ volatile("");
}
