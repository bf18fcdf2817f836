import CMachine

/// The version of this program (semver.org). `deploy/release` refuses to release any other.
enum Version {
    static let current = "0.1.0-dev"

    /// With the commit, in a release: what `--version` prints.
    static var described: String {
        // SAFETY: a constant of the program, which ends with a zero.
        let commit = unsafe String(cString: cs_commit())
        return commit.allSatisfy { $0 == "0" } ? current : "\(current) (\(commit))"
    }
}
