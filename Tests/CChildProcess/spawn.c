// What closes files and changes the folder in the child is shown to C only, with _GNU_SOURCE.
#define _GNU_SOURCE
#include "CChildProcess.h"
#include <spawn.h>
#include <unistd.h>

int cs_spawn(
    pid_t *pid, const char *path, char *const arguments[], const char *directory, int input, int output, int errors) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (directory) posix_spawn_file_actions_addchdir_np(&actions, directory);
    // By way of numbers behind them: one of the three may be where another belongs.
    const int files[3] = {input, output, errors};
    int aside = 3;
    for (int number = 0; number < 3; number++)
        if (files[number] >= aside) aside = files[number] + 1;
    for (int number = 0; number < 3; number++)
        posix_spawn_file_actions_adddup2(&actions, files[number], aside + number);
    for (int number = 0; number < 3; number++) posix_spawn_file_actions_adddup2(&actions, aside + number, number);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    const int code = posix_spawn(pid, path, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return code;
}
