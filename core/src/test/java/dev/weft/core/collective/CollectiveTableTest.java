package dev.weft.core.collective;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.weft.core.graph.Op;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

final class CollectiveTableTest {
  private static Stream<Class<?>> ops(Class<?> type) {
    return type.isSealed()
        ? Stream.of(type.getPermittedSubclasses()).flatMap(CollectiveTableTest::ops)
        : Stream.of(type);
  }

  @Test
  void everyOpOfSeveralDevicesCanBeRead() {
    Stream.of(Collective.class, Coordinated.class)
        .flatMap(CollectiveTableTest::ops)
        .forEach(
            type ->
                assertEquals(
                    Optional.of(type),
                    CollectiveTable.ALL.find(Op.nameOf(type.asSubclass(Op.class)))));
  }

  @Test
  void noNameStandsForTwoOps() {
    assertThrows(
        IllegalArgumentException.class, () -> CollectiveTable.ALL.with(List.of(AllReduce.class)));
  }
}
