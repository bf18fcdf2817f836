internal import CMachine
public import CredentialModel

/// Comparisons whose time does not depend on the data. Written in C: an optimiser turns Swift mask code into branches.
public enum ConstantTime {
    /// Whether two tags are equal.
    @inline(__always)
    public static func equal(_ left: Tag, _ right: Tag) -> Bool {
        cs_words4_differ(
            left.word0, left.word1, left.word2, left.word3, right.word0, right.word1, right.word2, right.word3) == 0
    }
}
