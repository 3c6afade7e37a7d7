import Testing

@testable import TailraceInputs

@Suite struct GlobTests {
    @Test(arguments: [
        ("/var/log/*.log", "/var/log/a.log", true),
        ("/var/log/*.log", "/var/log/a.log.1", false),
        ("/var/log/*.log", "/var/log/sub/a.log", false),
        ("/var/log/*.log", "/var/log/.hidden.log", false),
        ("/var/log/.*.log", "/var/log/.hidden.log", true),
        ("/srv/**/*.log", "/srv/a.log", true),
        ("/srv/**/*.log", "/srv/x/y/z/a.log", true),
        ("/srv/**/*.log", "/srv/x/.git/a.log", false),
        ("/srv/**", "/srv/x/y", true),
        ("/srv/*/logs/**/app-?.log", "/srv/x/logs/app-1.log", true),
        ("/srv/*/logs/**/app-?.log", "/srv/x/logs/d/app-é.log", true),
        ("/srv/*/logs/**/app-?.log", "/srv/x/logs/d/app-10.log", false),
        ("/a/[a-c]x[!0-9].log", "/a/bxy.log", true),
        ("/a/[a-c]x[!0-9].log", "/a/dxy.log", false),
        ("/a/[a-c]x[!0-9].log", "/a/bx1.log", false),
        ("/a/[]x].log", "/a/].log", true),
        ("/a/[x.log", "/a/[x.log", true),
        ("/a/\\*.log", "/a/*.log", true),
        ("/a/\\*.log", "/a/b.log", false),
        ("/a/*b*c*d", "/a/xbxbcxcd", true),
        ("/a/*b*c*d", "/a/xbxbcxc", false),
        ("/*", "/a", true),
        ("/a/**/b/**/c", "/a/b/b/x/c", true),
        ("/a/**/b/**/c", "/a/x/c", false),
    ])
    func matches(pattern: String, path: String, expected: Bool) throws {
        #expect(try #require(GlobPattern(pattern)).matches(path: path) == expected)
    }

    @Test func refusesWhatIsNoAbsolutePathOfAFile() {
        for text in ["", "/", "a.log", "./a", "/var/log/"] { #expect(GlobPattern(text) == nil) }
    }

    @Test func beginsAtTheLastDirectoryWithoutAWildcard() {
        #expect(GlobPattern("/var/log/app/*.log")?.base == "/var/log/app")
        #expect(GlobPattern("/var/*/app.log")?.base == "/var")
        #expect(GlobPattern("/var/log/app.log")?.base == "/var/log")
        #expect(GlobPattern("/*.log")?.base == "/")
    }

    @Test func manyStarsDoNotBlowUp() throws {
        let pattern = try #require(GlobPattern("/" + String(repeating: "*a", count: 40) + "b"))
        #expect(!pattern.matches(path: "/" + String(repeating: "a", count: 200)))
    }

    @Test func excludesByNameOrByPath() {
        #expect(ExcludePattern("*.gz").matches(directory: "/a/b", name: "x.gz"))
        #expect(!ExcludePattern("/c/*.gz").matches(directory: "/a", name: "x.gz"))
        #expect(ExcludePattern("/a/**/*.gz").matches(directory: "/a/b", name: "x.gz"))
    }

    @Test(arguments: [
        ("app.log.1", ["app.log"]),
        ("app.log-20261121", ["app.log"]),
        ("app.log.2026-11-21T10:00", ["app.log"]),
        ("app.1.log", ["app.log"]),
        ("app-20261121.log", ["app.log"]),
        ("app.log", []),
        ("app.log.gz", []),
        ("app.log.1.gz", []),
        (".1", []),
    ])
    func knowsWhatARotationMakesOfAName(name: String, originals: [String]) {
        let found = RotatedName.originals(of: name)
        for original in originals { #expect(found.contains(original), "\(found)") }
        if originals.isEmpty { #expect(found.isEmpty) }
    }
}
