/// Text without credentials: for messages that repeat what somebody typed.
enum RedactedText {
    /// Replaces all that begins like a credential of Countersign, whole or cut short.
    static func withoutCredentials(_ text: String) -> String {
        text.replacing(/[a-z]{2}[kbrac]1_[0-9A-Za-z]{11}_[0-9A-Za-z]*/, with: "<redacted>")
    }
}
