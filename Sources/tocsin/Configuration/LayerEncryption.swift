/// `symmetric_encryption_keys` of the Django site: from the file, the environment, or a separate file.
struct LayerEncryption {
    private var values: [String] = []
    private var file: String?
    private static let fileKey = "redis.encryption_keys_file"

    init() {}

    /// - Throws: `ConfigurationError`, which never repeats a key.
    init(_ reader: ConfigurationReader) throws(ConfigurationError) {
        values = try reader.secrets("encryption_keys") ?? []
        file = try reader.text("encryption_keys_file")
        guard values.isEmpty || file == nil else {
            throw reader.bad("encryption_keys_file", "and encryption_keys are both there: keep one")
        }
        guard !values.contains("") else { throw reader.bad("encryption_keys", "must not hold an empty key") }
    }

    /// All keys; the first is the one that Django encrypts with. A file has one per line.
    ///
    /// - Throws: `ConfigurationError` when the file cannot be read, or is empty.
    func keys() throws(ConfigurationError) -> [String] {
        guard let file else { return values }
        return try SecretFile(file, key: Self.fileKey).lines(of: "key")
    }
}
