// What ThreadSanitizer does not see in the Swift runtime, which is built without it, in a form that it sees.
//
// deploy/proofs/thread-sanitizer links this into the tests. For that build only.

#define _GNU_SOURCE
#include <dlfcn.h>
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
// thread did then looks like a race (swiftlang/swift issue 57803). So each continuation goes on by way of `resumed`,
// which acquires. The first two words of an async context are part of the ABI.

struct context {
    struct context *parent;
    swiftasynccall void (*resume)(swift_async_context struct context *);
};

void __tsan_acquire(void *address);
swiftcall void *swift_task_getCurrent(void);

plain static swiftasynccall void resumed(swift_async_context struct context *context) {
    __tsan_acquire(swift_task_getCurrent());
    struct context *kept = context->parent;
    *context = *kept;
    free(kept);
    __attribute__((musttail)) return context->resume(context);
}

// Called before anybody can know the continuation; the runtime takes `resume` from the context here.
plain swiftcall void *swift_continuation_init(struct context *context, size_t flags) {
    static swiftcall void *(*_Atomic real)(struct context *, size_t);
    if (!real) { real = (swiftcall void *(*)(struct context *, size_t))dlsym(RTLD_NEXT, "swift_continuation_init"); }
    struct context *kept = malloc(sizeof *kept);
    if (!kept) { abort(); }
    *kept = *context;
    *context = (struct context){kept, resumed};
    return real(context, flags);
}
