/// A pair of keys in files, made by the `openssl` command.
public struct RSAKeyFiles: Sendable {
    public let publicPath: String
    public let privatePath: String

    /// - Parameter name: of the files; pairs of one directory have different ones.
    public init(in directory: TemporaryDirectory, _ name: String = "key", bits: Int = 2048) throws {
        try self.init(in: directory, name, ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:\(bits)"])
    }

    /// - Parameter kind: what `openssl genpkey` takes for it.
    public init(in directory: TemporaryDirectory, _ name: String, _ kind: [String]) throws {
        privatePath = directory("\(name)-private.pem")
        publicPath = directory("\(name)-public.pem")
        try Self.openssl(["genpkey"] + kind + ["-out", privatePath])
        try Self.openssl(["pkey", "-in", privatePath, "-pubout", "-out", publicPath])
    }

    private static func openssl(_ arguments: [String]) throws {
        let child = try ChildProcess("/usr/bin/openssl", arguments)
        guard child.wait() == .code(0) else { throw ChildProcess.Failure(child.errorOutput) }
    }
}
