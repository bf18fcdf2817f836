import BareCalls

/// The `credentials` table as LMDB's own calls read it.
// SAFETY: `handle` is open from init to deinit. LMDB's reader is for one thread at a time, as is what is measured.
@safe final class BareTable: @unchecked Sendable {
    private let handle: OpaquePointer

    init(directory: String) throws(MeasuringFault) {
        // SAFETY: the path is NUL-terminated for the length of the call.
        guard let handle = unsafe bare_lmdb_open(directory) else {
            throw MeasuringFault("LMDB does not open \(directory)")
        }
        unsafe self.handle = handle
    }

    deinit {
        // SAFETY: nobody holds the object any more.
        unsafe bare_lmdb_close(handle)
    }

    /// The first word of a row, or 0 when there is none.
    @inline(__always)
    func firstWord(_ id: UInt64) -> UInt64 {
        // SAFETY: open while the object lives.
        unsafe bare_lmdb_get(handle, id)
    }
}
