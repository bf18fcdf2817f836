/// The version of an etcd member.
struct EtcdVersion: Equatable, CustomStringConvertible {
    let major: Int
    let minor: Int
    let patch: Int

    var description: String { "\(major).\(minor).\(patch)" }

    /// Reads `3.5.21` and `3.6.0-rc.1`.
    init?(_ text: String) {
        let numbers = text.prefix { $0 != "-" && $0 != "+" }.split(separator: ".").map { Int($0) }
        guard numbers.count == 3, let major = numbers[0], let minor = numbers[1], let patch = numbers[2] else {
            return nil
        }
        (self.major, self.minor, self.patch) = (major, minor, patch)
    }

    /// Why it cannot be used at all; nil if it can.
    ///
    /// Members of 3.5.0 to 3.5.2 can differ from each other after a crash, and go on so (etcd's post-mortem of the 3.5
    /// data inconsistency). Before 3.4, transactions lack what is needed here.
    var refusal: String? {
        if (major, minor) < (3, 4) || major > 3 { return "versions 3.4 to 3.x are known" }
        if (major, minor) == (3, 5), patch <= 2 {
            return "members of 3.5.0 to 3.5.2 can come to differ after a crash: upgrade etcd"
        }
        return nil
    }

    /// Whether it has all corrections that matter here: stale reads after a pause (etcd issue 20418), renewals and watches
    /// that lie (15247, 15220), and those since.
    var isRecommended: Bool {
        switch (major, minor) {
        case (3, 5): patch >= 33
        case (3, 6): patch >= 14
        default: (major, minor) > (3, 6)
        }
    }
}
