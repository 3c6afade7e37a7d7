import OpenSSLTransport
import TestSupport
import Testing

@Suite struct HelperTests {
    private func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// RFC 4231, test cases 1, 2 and 6.
    @Test func authenticationCodesAreThoseOfTheStandard() {
        #expect(
            hex(HMACSHA256.authenticate(message: "Hi There".utf8, key: [UInt8](repeating: 0x0B, count: 20)))
                == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
        #expect(
            hex(HMACSHA256.authenticate(message: "what do ya want for nothing?".utf8, key: "Jefe".utf8))
                == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        #expect(
            hex(
                HMACSHA256.authenticate(
                    message: "Test Using Larger Than Block-Size Key - Hash Key First".utf8,
                    key: [UInt8](repeating: 0xAA, count: 131)))
                == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
    }

    @Test func anEmptyKeyIsAKeyAndNotTheOneOfTheCallBefore() {
        _ = HMACSHA256.authenticate(message: [1], key: "other".utf8)
        #expect(
            hex(HMACSHA256.authenticate(message: [], key: []))
                == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")
    }

    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func base64IsThatOfTheStandard(plain: String, text: String) {
        #expect(Base64.encode(plain.utf8) == text)
        #expect(Base64.decode(text) == Array(plain.utf8))
    }

    @Test(arguments: [
        "Z", "Zg", "Zg=", "Zg===", "=", "====", "Z===", "Zh==", "Zm9=", "Zm8=Zm8=", "Zm 9", "Zm9v\n", "Zm9-", "Zm9_",
        "Zm\u{0}v", "Zmé",
    ])
    func badBase64IsRefused(text: String) {
        #expect(Base64.decode(text) == nil)
    }

    @Test func whatIsEncodedDecodesAndNothingElseDecodesToIt() {
        for var generator in [SeededGenerator(seed: 1), .fresh("base64")] {
            for _ in 0..<500 {
                let count = Int.random(in: 0..<100, using: &generator)
                let bytes = (0..<count).map { _ in UInt8.random(in: 0 ... .max, using: &generator) }
                let text = Base64.encode(bytes)
                #expect(Base64.decode(text) == bytes)
                let mutated = String(decoding: generator.mutate(Array(text.utf8)), as: UTF8.self)
                if let decoded = Base64.decode(mutated) { #expect(Base64.encode(decoded) == mutated) }
            }
        }
    }
}
