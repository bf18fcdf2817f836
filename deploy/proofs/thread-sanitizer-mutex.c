// Replacements for synchronization in the Swift runtime, which is built without ThreadSanitizer, that the sanitizer can observe.
//
// deploy/proofs/thread-sanitizer links this into the tests. For that build only.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define swiftcall __attribute__((swiftcall))
#define swiftasynccall __attribute__((swiftasynccall))
#define swift_context __attribute__((swift_context))
#define swift_async_context __attribute__((swift_async_context))
#define plain __attribute__((disable_sanitizer_instrumentation))

// Mutex takes a free lock inline, which the sanitizer instruments; for a lock that is held it calls into
// libswiftSynchronization, and every contended lock then looks like a race. This definition takes that function's place.
// It never sets the bit for waiters, so the unlock stays on its inline path as well.

// Synchronization._MutexHandle._lockSlow(Swift.UInt32) -> ()
swiftcall void lock_slow(uint32_t thread, swift_context _Atomic(uint32_t) *storage)
    __asm__("$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF");

swiftcall void lock_slow(uint32_t thread, swift_context _Atomic(uint32_t) *storage) {
    uint32_t unlocked = 0;
    while (!atomic_compare_exchange_weak_explicit(storage, &unlocked, thread, memory_order_acquire,
                                                  memory_order_relaxed)) {
        unlocked = 0;
        sched_yield();
    }
}

// Resuming a continuation tells the sanitizer that it releases the task, and a task that is put on an executor acquires
// it. But a task that was resumed before it came to wait goes straight on and acquires nothing: all that the resuming
// thread did then looks like a race (swiftlang/swift issue 57803). So `released`, which takes the place of the runtime's
// hook, lets every task that is being resumed go on by way of `resumed`, which acquires.
//
// The runtime calls the hook before it says that the task is resumed; until then only the resuming thread touches these
// words of the task and of its context. Where they lie is part of the ABI; that both name the same function shows that
// they still lie there.

struct context {
    struct context *parent;
    swiftasynccall void (*resume)(swift_async_context struct context *);
};

struct task {
    void *header[7];
    swiftasynccall void (*resume)(swift_async_context struct context *);
    struct context *context;
};

void __tsan_acquire(void *address);
void __tsan_release(void *address);
swiftcall void *swift_task_getCurrent(void);
extern void (*_swift_tsan_release)(void *address);

// The code of the functions that resume.
static struct {
    const char *name;
    uintptr_t begin, end;
} resuming[] = {
    {"swift_continuation_resume", 0, 0},
    {"swift_continuation_throwingResume", 0, 0},
    {"swift_continuation_throwingResumeWithError", 0, 0},
};
#define count (sizeof resuming / sizeof *resuming)

plain static swiftasynccall void resumed(swift_async_context struct context *context) {
    __tsan_acquire(swift_task_getCurrent());
    struct context *kept = context->parent;
    *context = *kept;
    free(kept);
    __attribute__((musttail)) return context->resume(context);
}

plain static void redirect(struct task *task) {
    struct context *context = task->context;
    struct context *kept = malloc(sizeof *kept);
    if (!kept || task->resume != context->resume) { abort(); }
    *kept = *context;
    *context = (struct context){kept, resumed};
    task->resume = resumed;
}

plain static void released(void *address) {
    uintptr_t caller = (uintptr_t)__builtin_return_address(0);
    for (size_t i = 0; i < count; i++) {
        if (caller > resuming[i].begin && caller < resuming[i].end) { redirect(address); }
    }
    __tsan_release(address);
}

// After the sanitizer's own start, at which the runtime sets its hooks.
__attribute__((constructor)) plain static void hook(void) {
    for (size_t i = 0; i < count; i++) {
        Dl_info info;
        const ElfW(Sym) *symbol = NULL;
        void *begin = dlsym(RTLD_DEFAULT, resuming[i].name);
        if (!begin || !dladdr1(begin, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol) { abort(); }
        resuming[i].begin = (uintptr_t)begin;
        resuming[i].end = (uintptr_t)begin + symbol->st_size;
    }
    if (!_swift_tsan_release) { abort(); }
    _swift_tsan_release = released;
}
