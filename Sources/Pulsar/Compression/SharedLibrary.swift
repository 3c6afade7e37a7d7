import Glibc

/// A library that is loaded when it is first needed, so that nobody has to install what they don't use.
struct SharedLibrary: @unchecked Sendable {
    private let handle: UnsafeMutableRawPointer
    private let name: String

    /// - Parameters:
    ///   - name: as the dynamic linker knows it, with the version of its interface.
    ///   - package: the Debian package that has it.
    init(_ name: String, package: String) throws(PulsarError) {
        guard let handle = dlopen(name, RTLD_NOW | RTLD_LOCAL) else {
            let reason = dlerror().map { String(cString: $0) } ?? "unknown error"
            throw PulsarError(
                .notSupported,
                "the compression needs \(name), which cannot be loaded (\(reason)): install Debian's \(package), or choose another compression"
            )
        }
        self.handle = handle
        self.name = name
    }

    /// The function `symbol`, taken for a C function of the type that is asked for; the library is never unloaded.
    func function<Function>(_ symbol: String) throws(PulsarError) -> Function {
        guard let address = dlsym(handle, symbol) else {
            throw PulsarError(
                .notSupported, "\(name) has no function \(symbol): it is not the library that it should be")
        }
        return unsafeBitCast(address, to: Function.self)
    }
}
