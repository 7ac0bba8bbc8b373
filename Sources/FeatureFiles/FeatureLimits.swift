//! Every limit on what may lie in a folder of features, in one place.

/// What is believed of a folder, whoever has written to it.
enum FeatureLimits {
    /// Entries of a folder. Each time one joins, all are looked at; those beyond are removed.
    static let maximumEntryCount = 16_384
}
