/// The version of this program, as semver.org writes it. `deploy/release` makes none whose number is not this one.
enum Version {
    static let current = "0.1.0-dev"
}
