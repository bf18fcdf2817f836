#pragma once
#include <sys/types.h>

/// Starts `path` with three files and no other open, in `directory` unless that is null. Returns 0 or an error number.
int cs_spawn(
    pid_t *pid, const char *path, char *const arguments[], const char *directory, int input, int output, int errors);
