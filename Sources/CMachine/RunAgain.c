#define _GNU_SOURCE
#include "CMachine.h"
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>

// Pointers to the zero-terminated strings in `text`, and NULL after the last.
static char **split(const char *text, size_t bytes) {
    size_t count = 0;
    for (size_t i = 0; i < bytes; i++) count += text[i] == 0;
    char **words = malloc((count + 1) * sizeof *words);
    if (!words) return NULL;
    for (size_t i = 0; i < count; i++) {
        words[i] = (char *)text;
        text += strlen(text) + 1;
    }
    words[count] = NULL;
    return words;
}

int cs_run_again(int *pid, const char *arguments, size_t argument_bytes, const char *environment,
                 size_t environment_bytes, int input, int output, int errors) {
    char **words = split(arguments, argument_bytes), **settings = split(environment, environment_bytes);
    posix_spawn_file_actions_t actions;
    int code = words && settings ? posix_spawn_file_actions_init(&actions) : ENOMEM;
    if (code == 0) {
        const int files[3] = {input, output, errors};
        for (int number = 0; number < 3; number++) posix_spawn_file_actions_adddup2(&actions, files[number], number);
        posix_spawn_file_actions_addclosefrom_np(&actions, 3);
        code = posix_spawn(pid, "/proc/self/exe", &actions, NULL, words, settings);
        posix_spawn_file_actions_destroy(&actions);
    }
    free(words);
    free(settings);
    return code;
}
