import BareCalls

/// HMAC-SHA-256 over one padded block, from saved states, as libcrypto's own calls make it.
@safe final class BareHMAC: @unchecked Sendable {
    // SAFETY: made in init, freed in deinit, and only read by the calls.
    private let handle: OpaquePointer

    init() throws(MeasuringFault) {
        // SAFETY: no arguments.
        guard let handle = unsafe bare_hmac_make() else { throw MeasuringFault("no memory") }
        unsafe self.handle = handle
    }

    deinit {
        // SAFETY: nobody holds the object any more.
        unsafe bare_hmac_free(handle)
    }

    /// Computes the code again, and returns whether it is the same as the first time.
    @inline(__always)
    func isExpected() -> Bool {
        // SAFETY: the handle lives while the object does.
        unsafe bare_hmac_again(handle) != 0
    }
}
