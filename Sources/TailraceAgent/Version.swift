package enum Version {
    /// The version of the whole package.
    package static let text = "0.1.0"
}
