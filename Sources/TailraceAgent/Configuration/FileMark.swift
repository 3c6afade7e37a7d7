import Glibc

/// What a file was when it was looked at: another one, or other contents, have another mark.
package struct FileMark: Equatable, Sendable {
    private var device: UInt64 = 0
    private var inode: UInt64 = 0
    private var size: Int64 = 0
    /// Nanoseconds since 1970.
    private var modified: Int64 = 0
    private var changed: Int64 = 0

    /// Nil when there is none.
    package init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        size = Int64(status.st_size)
        modified = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
        changed = Int64(status.st_ctim.tv_sec) * 1_000_000_000 + Int64(status.st_ctim.tv_nsec)
    }
}

extension AgentConfiguration {
    /// Of the files that are read while the parts of an agent are made, beside the configuration: those that are there.
    var currentMarks: [String: FileMark] {
        var marks: [String: FileMark] = [:]
        for path in inputs.flatMap(\.files) + outputs.flatMap(\.files) { marks[path] = FileMark(path: path) }
        return marks
    }
}

extension InputSettings {
    /// Files that it is made from: certificates and keys.
    var files: [String] {
        guard case .syslog(let settings) = kind else { return [] }
        return [settings.certificateFile, settings.keyFile, settings.clientAuthorities].compactMap { $0 }
    }
}

extension OutputSettings {
    /// Files that it is made from: certificates and keys. Not those with secrets in them that are settings themselves.
    var files: [String] {
        switch self {
        case .eventHubs(let settings): [settings.caFile].compactMap { $0 }
        case .pulsar(let settings):
            [settings.caFile, settings.clientCertificate?.chainFile, settings.clientCertificate?.privateKeyFile]
                .compactMap { $0 }
        }
    }
}
