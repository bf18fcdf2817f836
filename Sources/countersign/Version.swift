/// The version of this program (semver.org). `deploy/release` refuses to release any other.
enum Version {
    static let current = "0.1.0-dev"
}
