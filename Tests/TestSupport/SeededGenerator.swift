/// A repeatable source of randomness (SplitMix64): a failing test prints its seed, and the seed reruns it.
public struct SeededGenerator: RandomNumberGenerator {
    public let seed: UInt64
    private var state: UInt64

    public init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    /// A generator with a seed of its own, printed so that a failure can be run again.
    public static func fresh(_ name: String) -> SeededGenerator {
        let seed = UInt64.random(in: 0 ... .max)
        print("\(name): fresh seed \(seed)")
        return SeededGenerator(seed: seed)
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// `bytes` with one to four random edits: a flipped bit, a changed byte, a cut, an insertion, a repeated piece.
    public mutating func mutate(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...4, using: &self) {
            if bytes.isEmpty { bytes = [UInt8.random(in: 0 ... .max, using: &self)] }
            let i = Int.random(in: 0..<bytes.count, using: &self)
            switch Int.random(in: 0..<6, using: &self) {
            case 0: bytes[i] ^= 1 << UInt8.random(in: 0..<8, using: &self)
            case 1: bytes[i] = .random(in: 0 ... .max, using: &self)
            case 2: bytes.removeSubrange(i...)
            case 3: bytes.insert(.random(in: 0 ... .max, using: &self), at: i)
            case 4: bytes.remove(at: i)
            default: bytes.insert(contentsOf: bytes[i..<min(bytes.count, i + 8)], at: i)
            }
        }
        return bytes
    }
}
