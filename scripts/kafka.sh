#!/usr/bin/env bash
# Brings the jars of Apache Kafka, which the tests of its adapter run with the machine's Java, from Maven's repository into the user's cache.
# Without Java 17 or Maven it fails and says so.
set -euo pipefail

readonly version=4.1.1 least_java=17
readonly folder=${XDG_CACHE_HOME:-$HOME/.cache}/parley/kafka-$version

java=$(java -version 2>&1 | head -1) || { echo "kafka: no Java" >&2; exit 1; }
[[ "$java" =~ \"([0-9]+) ]] && ((BASH_REMATCH[1] >= least_java)) || { echo "kafka: $java is older than $least_java" >&2; exit 1; }
[[ ! -d "$folder" ]] || exit 0
command -v mvn >/dev/null || { echo 'kafka: no Maven' >&2; exit 1; }

mkdir -p "${folder%/*}"
making=$(mktemp -d "${folder%/*}/making.XXXXXX")
trap 'rm -rf "$making"' EXIT
cat >"$making/pom.xml" <<END
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>im.parley</groupId>
  <artifactId>kafka-for-tests</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
END
mvn --quiet --batch-mode --file "$making/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$making/jars" >&2
mv -T "$making/jars" "$folder"
