import TestSupport

/// A page of the manual, as mdoc source.
struct ManualPage {
    static let tailrace1 = ManualPage("tailrace.1")
    static let configuration = ManualPage("tailrace.toml.5")
    static let operations = ManualPage("tailrace.8")
    static let all = [tailrace1, configuration, operations]

    let name: String
    let path: String
    let lines: [Substring]

    private init(_ name: String) {
        self.name = name
        path = "\(HazardTests.root)/man/\(name)"
        lines = ChildProcess.text(path).split(separator: "\n")
    }

    /// `1`, `5` or `8`.
    var section: Substring { name.suffix(1) }

    /// What stands in literal blocks, as a reader sees it.
    var blocks: [String] {
        var blocks: [String] = []
        var block: String?
        for line in lines {
            if line.hasPrefix(".Bd -literal") {
                block = ""
            } else if line == ".Ed", let text = block {
                blocks.append(text)
                block = nil
            } else {
                block? += line.replacing("\\e", with: "\\").replacing("\\(dq", with: "\"") + "\n"
            }
        }
        return blocks
    }

    /// The items of lists between two headings, such as `Ic maximum_size`, without the macro.
    func items(_ macro: String, under heading: String) -> [String] {
        var isWithin = false
        var items: [String] = []
        for line in lines {
            if line.hasPrefix(".Sh ") || line.hasPrefix(".Ss ") { isWithin = line.dropFirst(4) == heading }
            if isWithin, line.hasPrefix(".It \(macro) ") { items.append(String(line.dropFirst(macro.utf8.count + 5))) }
        }
        return items
    }

    /// Every long option that it speaks of.
    var options: Set<String> {
        Set(
            lines.filter { $0.hasPrefix(".") }.flatMap { line -> [String] in
                let words = line.split(separator: " ")
                return zip(words, words.dropFirst()).compactMap { macro, word in
                    ["Fl", ".Fl"].contains(macro) && word.hasPrefix("-") ? "-" + word : nil
                } + words.filter { $0 == "-help" }.map { "-" + $0 }
            })
    }
}
