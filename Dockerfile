# symma on Debian 12, by the script that builds it anywhere else.
#
#   docker build -t symma . && docker run --rm -v "$PWD:/data" symma train experiment.toml
FROM debian:12-slim
COPY . /symma
RUN cd /symma && scripts/build release symma_program
ENV PATH=/symma/build/release:$PATH
WORKDIR /data
ENTRYPOINT ["symma"]
CMD ["--help"]
