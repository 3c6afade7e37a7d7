import Glibc

/// A program in C that lies in `Contestants`, compiled into `directory`; its path.
///
/// - Parameters:
///   - flags: of the linker.
///   - remedy: what to install when that fails.
public func contestant(_ name: String, _ flags: [String] = [], in directory: String, remedy: String = "gcc") -> String {
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let path = "\(directory)/\(name)"
    let compiler = Child(["cc", "-O2", "-o", path, "/\(root)/Contestants/\(name).c"] + flags)
    if compiler.wait() != 0 { fail("compile \(name).c: apt-get install \(remedy)", 0) }
    return path
}
