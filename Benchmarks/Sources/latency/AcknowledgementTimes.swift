import Glibc
import Measuring

/// When the agent's lines were acknowledged, told by a library that is preloaded into it and reads what goes through TLS.
struct AcknowledgementTimes {
    /// The words to begin the agent's command with.
    let prefix: [String]
    private let path: String

    /// Compiles the library into `directory`.
    init(directory: String) {
        let source = #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/Contestants/ack_times.c"
        let library = "\(directory)/ack_times.so"
        if Child(["cc", "-shared", "-fPIC", "-O2", "-o", library, "/" + source]).wait() != 0 {
            fail("compile ack_times.c", 0)
        }
        path = "\(directory)/ack_times"
        prefix = ["env", "LD_PRELOAD=\(library)", "ACK_TIMES=\(path)"]
    }

    /// Milliseconds from the write of each line to its acknowledgement, in order of size, of lines that were written after
    /// `begin` (nanoseconds since 1970); and how many acknowledgements there were. Complete once the agent has ended. Empties
    /// the file.
    func take(after begin: Int64) -> (latencies: [Double], answers: Int) {
        defer { unlink(path) }
        let descriptor = open(path, O_RDONLY)
        guard descriptor >= 0 else { return ([], 0) }
        defer { close(descriptor) }
        var latencies: [Double] = []
        var answers = 0
        var last: Int64 = 0
        var pairs = [Int64](repeating: 0, count: 1 << 16)
        while true {
            let count = pairs.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) } / 16
            guard count > 0 else { return (latencies.sorted(), answers) }
            for pair in 0..<count where pairs[pair * 2] >= begin {
                if pairs[pair * 2 + 1] != last { answers += 1 }
                last = pairs[pair * 2 + 1]
                latencies.append(Double(pairs[pair * 2 + 1] - pairs[pair * 2]) / 1e6)
            }
        }
    }
}
