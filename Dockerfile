# One image, three roles; compose.yaml says which container plays which.
FROM python:3.13-slim AS build
COPY . /src
RUN pip install --no-cache-dir --no-compile --target /app /src

FROM python:3.13-slim
COPY --from=build /app /app
ENV PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 1000:1000
ENTRYPOINT ["python", "-m", "image_pipeline"]
