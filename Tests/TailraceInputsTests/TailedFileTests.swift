import Testing

@testable import TailraceInputs

@Suite struct TailedFileTests {
    private func file(_ name: String, age: Int64, inode: UInt64 = 1) -> TailedFile {
        let identity = FileIdentity(device: 1, inode: inode, birth: age)
        return TailedFile(
            identity: identity, keyIdentity: identity, input: 0, age: age, directory: WatchedDirectory(path: "/logs"),
            name: name)
    }

    /// From the youngest on.
    private func names(_ file: TailedFile) -> [String] { [file.name] + (file.predecessor.map(names) ?? []) }

    @Test func generationsOfOneTickOfTheClockAreInTheOrderOfTheirNames() {
        for order in [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]] {
            let log = file("a.log", age: 5)
            for number in order { log.insertPredecessor(file("a.log.\(number)", age: 5)) }
            log.insertPredecessor(file("a.log.0", age: 4))
            #expect(names(log) == ["a.log", "a.log.1", "a.log.2", "a.log.3", "a.log.0"])
        }
    }

    @Test func whatCameBetweenWhileTheGenerationBeforeWasReadIsNotPassedOver() {
        let log = file("a.log", age: 5), first = file("a.log.3", age: 1)
        log.insertPredecessor(first)
        let between = file("a.log.1", age: 3)
        log.insertPredecessor(between)
        log.passPredecessor(first)
        #expect(names(log) == ["a.log", "a.log.1", "a.log.3"])
        let older = file("a.log.4", age: 0)
        log.insertPredecessor(older)
        between.passPredecessor(first)
        #expect(names(log) == ["a.log", "a.log.1", "a.log.3", "a.log.4"])
        first.passPredecessor(older)
        between.passPredecessor(first)
        log.passPredecessor(between)
        #expect(names(log) == ["a.log"])
    }

    @Test(arguments: [5, 8]) func aCopyGoesBeforeItsLogAndBehindWhatElseCameToBeInTheTickOfThatLog(age: Int64) {
        for order in [
            ["1", "2", "3"], ["1", "3", "2"], ["2", "1", "3"], ["2", "3", "1"], ["3", "1", "2"], ["3", "2", "1"],
        ] {
            let log = file("a.log", age: 5, inode: 9)
            for number in order {
                let generation = file("a.log.\(number)", age: number == "1" ? age : 5, inode: 1)
                if number == "1" { generation.becomeCopy(ofLogBorn: 5, inode: 9) }
                log.insertPredecessor(generation)
            }
            log.insertPredecessor(file("a.log.0", age: 4))
            #expect(names(log) == ["a.log", "a.log.1", "a.log.2", "a.log.3", "a.log.0"])
        }
    }

    @Test func aCopyThatWasThereFirstIsOlderThanItsLog() {
        let log = file("a.log.1", age: 5, inode: 9), copy = file("a.log.2", age: 8)
        copy.becomeCopy(ofLogBorn: 5, inode: 9)
        #expect(copy.isOlder(than: log))
        #expect(!log.isOlder(than: copy))
        copy.load(copy.position)
        #expect(copy.isOlder(than: log))
    }

    /// The log, born in the tick in which the other two came to be, was copied and then renamed and compressed.
    @Test func anArchiveOfALogGoesBehindItsCopyOfTheSameTick() {
        for order in [[0, 1], [1, 0]] {
            let log = file("a.log", age: 6, inode: 7)
            let copy = file("a.log.2", age: 5), archive = file("a.log.1.gz", age: 5, inode: 9)
            copy.becomeCopy(ofLogBorn: 5, inode: 9)
            copy.modifiedWhenFound = 5
            archive.becomeArchive(modified: 5)
            for index in order { log.insertPredecessor([copy, archive][index]) }
            #expect(names(log) == ["a.log", "a.log.1.gz", "a.log.2"])
        }
    }

    /// Nobody has seen what was compressed: it may have been a copy of a log that came to be long before.
    @Test func anArchiveOfWhatNobodyHasSeenHasThePlaceThatItsNameTells() {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let log = file("a.log", age: 30, inode: 7)
            let renamed = file("a.log.1", age: 5, inode: 9)
            let archives = [file("a.log.3.gz", age: 10, inode: 10), file("a.log.2.gz", age: 20, inode: 11)]
            for (archive, modified) in zip(archives, [10, 20]) {
                archive.becomeArchive(modified: Int64(modified), ofUnseen: true)
            }
            for index in order { log.insertPredecessor([renamed, archives[0], archives[1]][index]) }
            #expect(names(log) == ["a.log", "a.log.1", "a.log.2.gz", "a.log.3.gz"])
        }
    }

    /// As when rotations by number and by date go on side by side.
    @Test func whereTheNamesOfOneTickDoNotTellItIsToldByWhenTheyWereLastWritten() {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let log = file("a.log", age: 6)
            let rotated = [file("a.log-20261121-100007", age: 5), file("a.log.1", age: 5), file("a.log.2", age: 5)]
            rotated[0].modifiedWhenFound = 90
            rotated[1].modifiedWhenFound = 10
            rotated[2].modified = 10
            for index in order { log.insertPredecessor(rotated[index]) }
            #expect(names(log) == ["a.log", "a.log-20261121-100007", "a.log.1", "a.log.2"])
        }
        // The log's own name tells, whenever that was written.
        let log = file("a.log", age: 5), dated = file("a.log-20261121-100007", age: 5)
        dated.modifiedWhenFound = 90
        #expect(dated.isOlder(than: log))
        #expect(!log.isOlder(than: dated))
    }
}
