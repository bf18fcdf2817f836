// The contended path of the standard library's Mutex, in a form that ThreadSanitizer sees.
//
// Mutex takes a free lock inline, which the sanitizer instruments; for a lock that is held it calls into
// libswiftSynchronization, which is built without the sanitizer, and every contended lock then looks like a race. This
// definition takes that function's place when deploy/proofs/thread-sanitizer links the tests. It never sets the bit for
// waiters, so the unlock stays on its inline path as well. For that build only.

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

#define swiftcall __attribute__((swiftcall))
#define swift_context __attribute__((swift_context))

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
