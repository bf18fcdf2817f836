import CredentialModel

/// Checks texts and times of requests.
enum RequestText {
    /// An owner or subject: 1 to 255 bytes of UTF-8 without control characters.
    static func owner(_ text: String, field: String) throws(IssuanceError) -> [UInt8] {
        guard !text.isEmpty, text.utf8.count <= OwnerText.bytesMax else {
            throw .invalid(field: field, reason: "must have 1 to \(OwnerText.bytesMax) bytes")
        }
        try requireNoControls(text, field: field)
        return Array(text.utf8)
    }

    /// A name for people; nil for an empty one.
    static func name(_ text: String?) throws(IssuanceError) -> String? {
        try forPeople(text, field: "name", bytesMax: 255)
    }

    /// A description for people; nil for an empty one.
    static func description(_ text: String?) throws(IssuanceError) -> String? {
        try forPeople(text, field: "description", bytesMax: 1_024)
    }

    private static func forPeople(_ text: String?, field: String, bytesMax: Int) throws(IssuanceError) -> String? {
        guard let text, !text.isEmpty else { return nil }
        guard text.utf8.count <= bytesMax else {
            throw .invalid(field: field, reason: "must have at most \(bytesMax) bytes")
        }
        try requireNoControls(text, field: field)
        return text
    }

    private static func requireNoControls(_ text: String, field: String) throws(IssuanceError) {
        guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            throw .invalid(field: field, reason: "must not hold control characters")
        }
    }

    static func time(_ time: UnixSeconds, field: String) throws(IssuanceError) -> UnixSeconds {
        guard (UnixSeconds.always...UnixSeconds.latest).contains(time) else {
            throw .invalid(field: field, reason: "must be seconds since 1970, no later than the year 9999")
        }
        return time
    }
}
