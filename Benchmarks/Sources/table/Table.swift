// Everything that benchmarks wrote into a file of measurements, as one table: `table FILE`.
import Glibc
import Measurements
import Measuring

@main
struct Table {
    static func main() throws {
        guard CommandLine.arguments.count == 2 else {
            complain("usage: table FILE")
            exit(2)
        }
        print(MeasurementTable(try Results.read(CommandLine.arguments[1])).text)
    }
}
