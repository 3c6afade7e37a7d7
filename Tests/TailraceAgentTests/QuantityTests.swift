import TailraceAgent
import Testing

@Suite struct QuantityTests {
    @Test(
        arguments: [
            ("0", 0), ("512", 512), ("512B", 512), ("64MiB", 64 << 20), ("10GiB", 10 << 30), ("1 KiB", 1024),
            ("1kb", 1000), ("5MB", 5_000_000), ("2TiB", 2 << 40),
        ] as [(String, UInt64)])
    func sizesAreRead(text: String, bytes: UInt64) { #expect(Quantity.size(text) == bytes) }

    @Test(arguments: ["", "GiB", "-1", "1.5GiB", "1Gi", "1 GiB x", "99999999999999999999", "9000000TiB", "٣MiB"])
    func nonsenseIsNoSize(text: String) { #expect(Quantity.size(text) == nil) }

    @Test(
        arguments: [
            ("500ms", .milliseconds(500)), ("5s", .seconds(5)), ("2m", .seconds(120)), ("1h", .seconds(3600)),
            ("1d", .seconds(86_400)),
        ] as [(String, Duration)])
    func durationsAreRead(text: String, duration: Duration) { #expect(Quantity.duration(text) == duration) }

    @Test(arguments: ["", "5", "s", "-1s", "1.5s", "5S", "400d", "99999999999999999d", "9223372036854775807h"])
    func nonsenseIsNoDuration(text: String) { #expect(Quantity.duration(text) == nil) }

    @Test func sizesAreDescribed() {
        #expect(Quantity.describe(bytes: 0) == "0 B")
        #expect(Quantity.describe(bytes: 1023) == "1023 B")
        #expect(Quantity.describe(bytes: 10 << 30) == "10 GiB")
        #expect(Quantity.describe(bytes: (3 << 20) / 2) == "1.5 MiB")
        #expect(Quantity.describe(bytes: .max).hasSuffix("TiB"))
    }
}
