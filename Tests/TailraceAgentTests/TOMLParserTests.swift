import TestSupport
import Testing

@testable import TailraceAgent

@Suite struct TOMLParserTests {
    private func parse(_ text: String) throws(TOMLError) -> TOMLTable { try TOMLDocument.parse(Array(text.utf8)) }

    private func problem(_ text: String) -> TOMLError? {
        do throws(TOMLError) {
            _ = try parse(text)
            return nil
        } catch {
            return error
        }
    }

    private func string(_ entry: TOMLTable.Entry?) -> String? {
        if case .string(let text)? = entry?.node.value { text } else { nil }
    }

    @Test func valuesOfEveryTypeAreRead() throws {
        let table = try parse(
            #"""
            # a comment
            basic = "a\tb \"q\" \u00e9 \U0001F600"
            literal = 'C:\no\escape'
            long = """
            one
            two \
               three"""
            longLiteral = '''a''b'''
            quotes = """two quotes"""""
            integer = 1_000
            negative = -17
            hexadecimal = 0xDEAD_beef
            octal = 0o755
            binary = 0b1010
            float = 6.26e-2
            yes = true
            "quoted key" = 'x'
            date = 1979-05-27 07:32:00Z
            array = [ 1, [ "a", 'b' ], # comment
                { x = 1 }, ]
            empty = []
            """#)
        #expect(string(table["basic"]) == "a\tb \"q\" é 😀")
        #expect(string(table["literal"]) == #"C:\no\escape"#)
        #expect(string(table["long"]) == "one\ntwo three")
        #expect(string(table["longLiteral"]) == "a''b")
        #expect(string(table["quotes"]) == "two quotes\"\"")
        #expect(string(table["quoted key"]) == "x")
        for (key, value) in [
            ("integer", Int64(1000)), ("negative", -17), ("hexadecimal", 0xDEAD_BEEF), ("octal", 0o755),
            ("binary", 10),
        ] {
            guard case .integer(value)? = table[key]?.node.value else {
                Issue.record("\(key) is not \(value)")
                continue
            }
        }
        guard case .float(0.0626)? = table["float"]?.node.value, case .boolean(true)? = table["yes"]?.node.value,
            case .date("1979-05-27 07:32:00Z")? = table["date"]?.node.value,
            case .array(let elements)? = table["array"]?.node.value
        else {
            Issue.record("a float, boolean, date or array was misread")
            return
        }
        #expect(elements.count == 3)
        #expect(elements.map(\.line) == [19, 19, 20])
    }

    @Test func everyKeyKnowsItsLine() throws {
        let table = try parse("a = 1\n\n[b]\nc.d = 2\n\n[b.e]\nf = { g = 1, h = 2 }\n[[i]]\n[[i]]\nj = 1\n")
        #expect(table["a"]?.line == 1)
        guard case .table(let b)? = table["b"]?.node.value, case .table(let c)? = b["c"]?.node.value,
            case .table(let e)? = b["e"]?.node.value, case .table(let f)? = e["f"]?.node.value,
            case .array(let i)? = table["i"]?.node.value, case .table(let second)? = i.last?.value
        else {
            Issue.record("a table is missing")
            return
        }
        #expect(table["b"]?.line == 3)
        #expect(c["d"]?.line == 4)
        #expect(b["e"]?.line == 6)
        #expect(f["h"]?.line == 7)
        #expect(i.count == 2)
        #expect(second["j"]?.line == 10)
    }

    @Test(arguments: [
        ("a = 1\na = 2", 2, "twice"), ("[a]\n[b]\n[a]", 3, "twice"), ("a = 1\n[a.b]", 2, "already"),
        ("a.b = 1\na = 2", 2, "twice"), ("a = {}\n[a.b]", 2, "already"), ("a = { b = 1 }\na.c = 2", 2, "already"),
        ("a = [1]\n[[a]]", 2, "twice"), ("a", 1, "\"=\""), ("a =", 1, "a value"), ("a = b", 1, "quotes"),
        ("a = \"b", 1, "closing quote"), ("a = '", 1, "closing quote"), ("a = \"\"\"\n\n", 1, "begins here"),
        ("a = [1, 2", 1, "no \"]\""), ("a = [1 2]", 1, "\",\""), ("a = { b = 1", 1, "\"}\""),
        ("a = { b = 1,\n c = 2 }", 1, "a key"), ("a = 1 b = 2", 1, "end of the line"), ("[a", 1, "\"]\""),
        ("[[a]", 1, "]]"), ("[]", 1, "a key"), ("= 1", 1, "a key"), ("a = 01", 1, "not a value"),
        ("a = 1__0", 1, "not a value"), ("a = 0x", 1, "not a value"), ("a = 0x-1", 1, "not a value"),
        ("a = 99999999999999999999", 1, "not a value"), ("a = 1.", 1, "not a value"), ("a = .5", 1, "not a value"),
        ("a = +", 1, "not a value"), ("x = 1\na = \"\\q\"", 2, "escape"), ("a = \"\\u12\"", 1, "Unicode"),
        ("a = \"\\uD800\"", 1, "Unicode"), ("\"\"\"a\"\"\" = 1", 1, "several lines"), ("a = 1\n\u{1}", 2, "control"),
        ("a = 1\rb = 2", 1, "carriage return"), ("a = \"\"\"x \\ y\"\"\"", 1, "only spaces"),
    ])
    func brokenTextIsAnErrorWithItsLine(text: String, line: Int, message: String) {
        let error = problem(text)
        #expect(error?.line == line, "\(String(describing: error))")
        #expect(error?.message.contains(message) == true, "\(String(describing: error))")
    }

    @Test func invalidUTF8IsAnErrorWithItsLine() {
        #expect(throws: TOMLError(line: 2, message: "the line is not valid UTF-8")) {
            try TOMLDocument.parse(Array("a = 1\nb = '".utf8) + [0xFF, 0x27, 0x0A])
        }
    }

    @Test func nestingHasALimit() {
        #expect(problem("a = " + String(repeating: "[", count: 100_000))?.message.contains("deep") == true)
        #expect(problem("a = " + String(repeating: "{a=", count: 100_000))?.message.contains("deep") == true)
        #expect(problem(String(repeating: "a.", count: 1000) + "a = 1")?.message.contains("parts") == true)
    }

    @Test func windowsLineEndsAndAByteOrderMarkAreFine() throws {
        let table = try TOMLDocument.parse([0xEF, 0xBB, 0xBF] + Array("a = 'x'\r\n[b]\r\n".utf8))
        #expect(string(table["a"]) == "x")
        #expect(table["b"]?.line == 2)
    }

    @Test func mutatedTextNeverTraps() {
        let text = Array(
            #"a = "x\u00e9" # c\n[b.'c']\nd = [1, 2.5e3, {e = true}]\n[[f]]\ng = """y"""\nh.i = 1979-05-27\n"#
                .replacing("\\n", with: "\n").utf8)
        for seed in [1, 2, 3] as [UInt64] { run(SeededGenerator(seed: seed)) }
        run(.fresh("TOML"))
        func run(_ generator: SeededGenerator) {
            var generator = generator
            for _ in 0..<3000 { _ = try? TOMLDocument.parse(generator.mutate(text)) }
        }
    }
}
