import Glibc
import TailraceInputs
import TailraceSpool
import TestSupport
import Testing

/// Files whose way changes: other devices, links, swapped names.
@Suite struct FileTailerPlacesTests {
    @Test func aFileSystemOnAnotherDeviceIsContinuedAfterARestart() throws {
        let directory = TemporaryDirectory()
        let place = try LoopFileSystem(directory)
        let sink = FakeSink()
        for index in 0..<5 { write("before \(index)\n", to: place("\(index).log")) }
        let running = try RunningTailer([input(place("*.log"))], sink)
        #expect(sink.wait { $0.lineCount == 5 })
        running.stop()
        let before = place.number
        try place.mountElsewhere()
        #expect(place.number != before)
        for index in 0..<5 { write("after \(index)\n", to: place("\(index).log")) }
        for expected in [10, 15] {
            let again = try RunningTailer([input(place("*.log"))], sink)
            #expect(sink.wait { $0.lineCount == expected })
            again.stop()
            #expect(again.tailer.statistics.restartedGenerations == 0)
            for index in 0..<5 { write("later \(index)\n", to: place("\(index).log")) }
        }
        for index in 0..<5 {
            #expect(sink.texts(place("\(index).log")) == ["before \(index)", "after \(index)", "later \(index)"])
        }
        #expect(sink.positions.count == 5)
    }

    @Test func aFileSystemMountedOnAnotherDeviceUnderTheRunningTailerIsContinued() throws {
        let directory = TemporaryDirectory()
        let place = try LoopFileSystem(directory)
        let sink = FakeSink()
        for index in 0..<3 { write("before \(index)\n", to: place("\(index).log")) }
        var limits = FileTailLimits.test
        limits.rescanInterval = .milliseconds(100)
        limits.finalAfter = .seconds(60)
        let running = try RunningTailer([input(place("*.log"))], sink, limits: limits)
        #expect(sink.wait { $0.lineCount == 3 })
        let before = place.number
        try place.mountElsewhere()
        #expect(place.number != before)
        for index in 0..<3 { write("after \(index)\n", to: place("\(index).log")) }
        #expect(sink.wait { $0.lineCount >= 6 })
        running.stop()
        for index in 0..<3 { #expect(sink.texts(place("\(index).log")) == ["before \(index)", "after \(index)"]) }
    }

    @Test func inodesThatAreUsedAgainUnderTheRunningTailerAreNewFiles() throws {
        let directory = TemporaryDirectory()
        let place = try LoopFileSystem(directory)
        let sink = FakeSink()
        let running = try RunningTailer([input(place("*.log"))], sink)
        var inodes: [ino_t] = []
        var expected: [String] = []
        for round in 0..<40 {
            let text = String(repeating: "\(round % 10)", count: [3, 8, 20][round % 3])
            write(text + "\n", to: place("a.log"))
            var status = stat()
            stat(place("a.log"), &status)
            inodes.append(status.st_ino)
            expected.append(text)
            #expect(sink.wait { $0.lineCount == expected.count })
            unlink(place("a.log"))
            // Closed at its end, its inode is free.
            if round % 4 == 3 { #expect(sink.wait { _ in running.tailer.statistics.openFiles == 0 }) }
        }
        running.stop()
        #expect(Set(inodes).count < inodes.count)
        #expect(sink.texts(place("a.log")) == expected)
    }

    @Test func aSwitchedLinkToADirectoryIsFollowed() throws {
        let directory = TemporaryDirectory()
        for name in ["app", "app/release1", "app/release2"] { mkdir(directory(name), 0o755) }
        let sink = FakeSink()
        symlink("release1", directory("app/current"))
        let running = try RunningTailer([input(directory("app/current/*.log"))], sink)
        write("1\n", to: directory("app/current/a.log"))
        #expect(sink.wait { $0.lineCount == 1 })
        for (index, release) in ["release2", "release1", "release2"].enumerated() {
            symlink(release, directory("app/new"))
            rename(directory("app/new"), directory("app/current"))
            write("\(index + 2)\n", to: directory("app/current/a.log"))
            #expect(sink.wait { $0.texts(directory("app/current/a.log")).count == index + 2 })
            // From now on events tell of it.
            write("again\n", to: directory("app/current/\(index).log"))
            #expect(sink.wait { $0.texts(directory("app/current/\(index).log")) == ["again"] })
            unlink(directory("app/current/\(index).log"))
            #expect(sink.wait { _ in !running.tailer.files().contains { $0.path.hasSuffix("/\(index).log") } })
        }
        running.stop()
        #expect(sink.texts(directory("app/current/a.log")) == ["1", "2", "3", "4"])
    }

    /// As in Kubernetes: a link to a link to a file.
    @Test func aSwitchInTheMiddleOfAChainOfLinksIsFollowed() throws {
        let directory = TemporaryDirectory()
        for name in ["containers", "pods", "data"] { mkdir(directory(name), 0o755) }
        let sink = FakeSink()
        symlink(directory("pods/0.log"), directory("containers/a.log"))
        symlink(directory("data/1"), directory("pods/0.log"))
        let running = try RunningTailer([input(directory("containers/*.log"))], sink)
        write("1\n", to: directory("data/1"))
        #expect(sink.wait { $0.lineCount == 1 })
        for index in 2...4 {
            write("\(index)\n", to: directory("data/\(index)"))
            symlink(directory("data/\(index)"), directory("pods/new"))
            rename(directory("pods/new"), directory("pods/0.log"))
            #expect(sink.wait { $0.lineCount == index })
        }
        running.stop()
        #expect(sink.texts(directory("containers/a.log")) == ["1", "2", "3", "4"])
    }

    @Test func linksInCirclesAreWalkedOnce() throws {
        let directory = TemporaryDirectory()
        for name in ["x", "x/y"] { mkdir(directory(name), 0o755) }
        symlink("..", directory("x/y/up"))
        symlink("loop", directory("x/loop"))
        let sink = FakeSink()
        write("1\n", to: directory("x/y/a.log"))
        let running = try RunningTailer([input(directory("**/*.log"), directory("*/*/*/*/*/*.log"))], sink)
        #expect(sink.wait { $0.lineCount == 1 })
        write("2\n", to: directory("x/y/a.log"))
        #expect(sink.wait { $0.lineCount == 2 })
        running.stop()
        #expect(sink.lineCount == 2)
    }

    @Test func busyFilesThatSwapNamesKeepTheirLabels() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        let writers = [Writer(directory("0.log")), Writer(directory("1.log"))]
        for (index, writer) in writers.enumerated() { writer.write("\(index) start\n") }
        let running = try RunningTailer([input(directory("*.log"))], sink)
        #expect(sink.wait { $0.lineCount == 2 })
        for round in 0..<1000 {
            for (index, writer) in writers.enumerated() { writer.write("\(index) \(round)\n") }
            rename(directory("0.log"), directory("swap"))
            rename(directory("1.log"), directory("0.log"))
            rename(directory("swap"), directory("1.log"))
            if round % 50 == 0 { usleep(2000) }
        }
        #expect(sink.wait { $0.lineCount == 2002 })
        running.stop()
        for index in 0..<2 {
            let expected = ["\(index) start"] + (0..<1000).map { "\(index) \($0)" }
            #expect(sink.texts(directory("\(index).log")) == expected)
        }
    }

    @Test func anInputThatIsRenamedKeepsItsPositions() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        write("1\n", to: directory("a.log"))
        let running = try RunningTailer([input(directory("*.log"))], sink)
        #expect(sink.wait { $0.lineCount == 1 })
        running.stop()
        var other = input(directory("a.*"))
        other.name = "renamed"
        write("2\n", to: directory("a.log"))
        let again = try RunningTailer([other], sink)
        #expect(sink.wait { $0.lineCount == 2 })
        again.stop()
        #expect(sink.texts(directory("a.log")) == ["1", "2"])
    }

    @Test func filesOfAFewBytesAreRead() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink(blockCapacity: 65_536)
        let sizes = [1, 2, 10, 63, 64, 65, 255, 256, 257, 1023, 1024]
        write("", to: directory("0.log"))
        for size in sizes { write(String(repeating: "x", count: size - 1) + "\n", to: directory("\(size).log")) }
        for round in 1...2 {
            let running = try RunningTailer([input(directory("*.log"), maximumLine: 4096)], sink)
            #expect(sink.wait { $0.lineCount == round * sizes.count })
            running.stop()
            #expect(sink.lineCount == round * sizes.count)
            for size in sizes { write("more\n", to: directory("\(size).log")) }
        }
        for size in sizes {
            #expect(sink.texts(directory("\(size).log")).map(\.utf8.count) == [size - 1, 4])
        }
    }

    /// No event tells of it, and when it was found nothing else is polled.
    @Test func theOnlyDirectoryThatCouldNotBeReachedIsReadAtOnceWhenItCan() throws {
        let directory = TemporaryDirectory()
        chmod(directory.path, 0o755)
        for name in ["closed", "closed/deep"] { mkdir(directory(name), 0o755) }
        write("1\n", to: directory("closed/deep/a.log"))
        chmod(directory("closed"), 0)
        let sink = FakeSink()
        var limits = FileTailLimits.test
        limits.rescanInterval = .seconds(600)
        let running = try RunningTailer(
            [input(directory("closed/deep/*.log"))], sink, limits: limits, prepare: giveUpRights)
        #expect(sink.wait { _ in running.tailer.files().contains { $0.path == directory("closed/deep") } })
        chmod(directory("closed"), 0o755)
        #expect(sink.wait { $0.lineCount == 1 })
        running.stop()
    }

    @Test func directoriesThatCannotBeReadYetAreReadWhenTheyCan() throws {
        let directory = TemporaryDirectory()
        chmod(directory.path, 0o755)
        for name in ["closed", "closed/deep", "listed", "blind"] { mkdir(directory(name), 0o755) }
        for name in ["closed/deep", "listed", "blind"] { write("1\n", to: directory("\(name)/a.log")) }
        // Not even the way to it; names without what they stand for; reachable names that cannot be listed.
        chmod(directory("closed"), 0)
        chmod(directory("listed"), 0o744)
        chmod(directory("blind"), 0o711)
        let sink = FakeSink()
        let patterns = ["closed/deep/*.log", "listed/*.log", "blind/*.log"].map { directory($0) }
        let inputs = patterns.map { input($0) }
        let running = try RunningTailer(inputs, sink, prepare: giveUpRights)
        for name in ["closed/deep", "listed/a.log", "blind"] {
            #expect(
                sink.wait { _ in
                    running.tailer.files().contains {
                        if case .troubled(let why) = $0.condition {
                            $0.path == directory(name) && why.contains("execute")
                        } else {
                            false
                        }
                    }
                }, "\(name)")
        }
        #expect(sink.lineCount == 0)
        for (count, name) in ["listed", "blind", "closed"].enumerated() {
            chmod(directory(name), 0o755)
            #expect(sink.wait { $0.lineCount == count + 1 }, "\(name)")
        }
        // Taken away and given again, nothing is lost, and nothing is a new file.
        chmod(directory("listed"), 0o744)
        write("2\n", to: directory("listed/a.log"))
        #expect(sink.wait { $0.texts(directory("listed/a.log")) == ["1", "2"] })
        chmod(directory("listed"), 0o755)
        #expect(sink.wait { _ in running.tailer.files().allSatisfy { $0.condition == .followed } })
        running.stop()
        #expect(sink.lineCount == 4)
    }
}
