package dev.weft.cli;

import dev.weft.core.cluster.Cluster;
import dev.weft.core.cluster.UserException;
import dev.weft.runtime.cluster.ClusterFile;
import dev.weft.runtime.cluster.ClusterProfiler;
import java.nio.file.Path;
import java.time.LocalDate;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code weft cluster}. */
@Command(
    name = "cluster",
    mixinStandardHelpOptions = true,
    description = "What devices can do, for simulation.",
    subcommands = {ClusterCommand.ProfileCommand.class})
final class ClusterCommand implements Runnable {
  @CommandLine.Spec CommandLine.Model.CommandSpec spec;

  @Override
  public void run() {
    spec.commandLine().usage(spec.commandLine().getOut());
  }

  /** {@code weft cluster profile}. */
  @Command(
      name = "profile",
      mixinStandardHelpOptions = true,
      description =
          "Measures this machine: what share of its limits ops reach by class, type and size, all"
              + " devices at once. The result is the cluster named local.")
  static final class ProfileCommand implements Callable<Integer> {
    @Option(
        names = "--devices",
        paramLabel = "N",
        description = "devices that work at once; one for each core if not said")
    @Nullable Integer devices;

    @Option(
        names = "--threads",
        defaultValue = "1",
        paramLabel = "N",
        description = "cores of each device (default: 1)")
    int threads;

    @Option(
        names = "--out",
        paramLabel = "FILE",
        description = "where to write it; the user's folder of caches if not said")
    @Nullable Path out;

    @Override
    public Integer call() {
      int cores = Runtime.getRuntime().availableProcessors();
      int count = devices == null ? Math.max(1, cores / Math.max(1, threads)) : devices;
      if (count < 1 || threads < 1) {
        throw new UserException(
            "--devices and --threads must be at least 1, found " + count + " and " + threads);
      }
      Cluster cluster =
          ClusterProfiler.measure(
                  count,
                  threads,
                  ClusterProfiler.DTYPES,
                  what -> System.err.println("measuring " + what))
              .cluster();
      Path file = out == null ? ClusterFile.local() : out;
      String about =
          "%d devices of %d threads each on %d cores, measured on %s"
              .formatted(count, threads, cores, LocalDate.now());
      ClusterFile.write(cluster, about, file);
      cluster
          .device()
          .peaks()
          .forEach(
              (dtype, peak) ->
                  System.out.printf(Locale.ROOT, "%-8s %8.1f GFLOP/s%n", dtype, peak / 1e9));
      System.out.printf(
          Locale.ROOT,
          "memory   %8.1f GB/s, a call %.1f us%nwritten to %s%n",
          cluster.device().bytesPerSecond() / 1e9,
          cluster.device().callSeconds() * 1e6,
          file);
      return 0;
    }
  }
}
