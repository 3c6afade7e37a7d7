import Glibc
internal import Transports

/// A file of a configuration, as it was read: the one that is named, or one of `conf.d` beside it.
struct ConfigurationText {
    /// The directory beside the configuration whose files are added to it.
    static let directoryName = "conf.d"
    /// Files in it.
    static let maximumFiles = 256
    /// Bytes of all of them.
    static let maximumTotal = 8 << 20

    var file: String
    var bytes: [UInt8]

    /// The configuration at `path`, then what lies in `conf.d`, by the bytes of the names.
    ///
    /// - Parameter skipsForbidden: whether files of `conf.d` are passed over that this user may not read.
    static func all(at path: String, skipsForbidden: Bool = false) throws(ConfigurationError) -> [ConfigurationText] {
        var texts = [ConfigurationText(file: path, bytes: try main(path))]
        let directory = Self.directory(beside: path)
        guard skipsForbidden == false || access(directory, R_OK | X_OK) == 0 else { return texts }
        var total = 0
        for name in try names(in: directory) {
            let file = "\(directory)/\(name)"
            if skipsForbidden, access(file, R_OK) != 0 { continue }
            let text = ConfigurationText(file: file, bytes: try dropIn(file))
            total += text.bytes.count
            guard total <= maximumTotal else {
                throw problem(
                    directory, "holds more than \(maximumTotal) bytes", remedy: "move what is no configuration away")
            }
            texts.append(text)
        }
        return texts
    }

    static func directory(beside path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return directoryName }
        return path[...slash] + directoryName
    }

    /// Whether a file of `conf.d` counts. Not what editors and dpkg leave beside a file (`x.toml~`, `.#x.toml`,
    /// `#x.toml#`, `.x.toml.swp`, `x.toml.dpkg-old`).
    static func counts(_ name: String) -> Bool {
        name.hasSuffix(".toml") && name != ".toml" && !name.hasPrefix(".") && !name.hasPrefix("#")
    }

    private static func names(in directory: String) throws(ConfigurationError) -> [String] {
        guard let stream = opendir(directory) else {
            let code = errno
            if code == ENOENT { return [] }
            throw problem(directory, "cannot be read: \(SystemError.describe(code))", remedy: remedy(code, "0750"))
        }
        defer { closedir(stream) }
        var names: [[UInt8]] = []
        while let entry = readdir(stream) {
            let bytes = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            guard counts(String(decoding: bytes, as: UTF8.self)) else { continue }
            names.append(bytes)
            guard names.count <= maximumFiles else {
                throw problem(directory, "holds more than \(maximumFiles) files", remedy: "join some of them")
            }
        }
        var texts: [String] = []
        for bytes in names.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            guard let name = String(validating: bytes, as: UTF8.self) else {
                let shown = SettingsReader.shortened(String(decoding: bytes, as: UTF8.self))
                throw problem(directory, "holds a file whose name is not UTF-8, \(shown)", remedy: "rename it")
            }
            texts.append(name)
        }
        return texts
    }

    private static func main(_ path: String) throws(ConfigurationError) -> [UInt8] {
        do throws(SmallFile.Failure) {
            return try SmallFile.bytes(
                path, limit: TOMLDocument.maximumSize, what: "the configuration", takesPipes: true)
        } catch {
            throw problem(
                path, "cannot read the configuration: \(error.reason)",
                remedy: "name the file with --config FILE, and let the agent's user read it")
        }
    }

    private static func dropIn(_ path: String) throws(ConfigurationError) -> [UInt8] {
        do throws(SmallFile.Failure) {
            // A link to /dev/null is an empty file, as in other directories of the kind; a pipe would have nobody waiting.
            return try SmallFile.bytes(path, limit: TOMLDocument.maximumSize, what: path, takesPipes: !isPipe(path))
        } catch {
            throw problem(
                path, "cannot be read: \(error.reason)",
                remedy: access(path, R_OK) == 0
                    ? "correct it, or move it out of \(directoryName)" : remedy(errno, "0640"))
        }
    }

    private static func isPipe(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
    }

    private static func remedy(_ code: Int32, _ mode: String) -> String {
        guard code == EACCES || code == EPERM else { return "correct it, or remove it" }
        return "the user \(ProcessUser.name), as whom this runs, must be able to read it, and so must the agent's user:"
            + " chgrp tailrace and chmod \(mode)"
    }

    private static func problem(_ file: String, _ message: String, remedy: String) -> ConfigurationError {
        ConfigurationError([ConfigurationProblem(file: file, line: nil, message: message, remedy: remedy)])
    }
}
